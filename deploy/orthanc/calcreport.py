"""For an Orthanc with its Python plugin that pushes: stable series of CT and radiographs go to the receiving service.

The feed of changes (service.sources, kind = "orthanc") needs nothing in Orthanc and survives its restarts; prefer it.
What still waits here is lost when Orthanc is restarted.

orthanc.json:  "PythonScript" : "/etc/orthanc/calcreport.py",
               "DicomModalities" : { "calcreport" : [ "CALCREPORT", "127.0.0.1", 11112 ] }
"""

import json
import queue
import threading

import orthanc

REPORTED = ("CT", "CR", "DX")
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 300.0
waiting = queue.Queue()


def on_change(change: orthanc.ChangeType, _level: orthanc.ResourceType, resource: str) -> None:
    """Note it and return: REST calls on this thread can lock Orthanc up."""
    if change == orthanc.ChangeType.STABLE_SERIES:
        waiting.put((resource, FIRST_WAIT_S))


def send() -> None:
    """Send one series after the other; one that is not taken is sent again later and holds up no other."""
    while True:
        series, wait_s = waiting.get()
        try:
            tags = json.loads(orthanc.RestApiGet("/series/" + series))["MainDicomTags"]
        except Exception:  # noqa: BLE001, S112 - orthanc.OrthancException only in newer plugins; it was deleted meanwhile
            continue
        if tags.get("Modality") not in REPORTED or tags.get("Manufacturer") == "calcreport":
            continue
        try:
            orthanc.RestApiPost("/modalities/calcreport/store", series)
        except Exception:  # noqa: BLE001 - as above
            again = threading.Timer(wait_s, waiting.put, [(series, min(LONGEST_WAIT_S, 2 * wait_s))])
            again.daemon = True
            again.start()


threading.Thread(target=send, name="calcreport", daemon=True).start()
orthanc.RegisterOnChangeCallback(on_change)
