"""For an Orthanc with its Python plugin that pushes: stable series of CT and radiographs go to the receiving service.

The feed of changes (service.sources, kind = "orthanc") needs nothing in Orthanc and survives its restarts; prefer it.
What still waits here is lost when Orthanc is restarted.

orthanc.json:  "PythonScript" : "/etc/orthanc/calcreport.py",
               "DicomModalities" : { "calcreport" : [ "CALCREPORT", "127.0.0.1", 11112 ] }
"""

import json
import queue
import threading
import time

import orthanc

REPORTED = ("CT", "CR", "DX")
LONGEST_WAIT_S = 300.0
waiting = queue.Queue()


def on_change(change: orthanc.ChangeType, _level: orthanc.ResourceType, resource: str) -> None:
    """Note it and return: REST calls on this thread can lock Orthanc up."""
    if change == orthanc.ChangeType.STABLE_SERIES:
        waiting.put(resource)


def send() -> None:
    """Send one series after the other, each until it was taken."""
    while True:
        series, wait_s = waiting.get(), 5.0
        while True:
            try:
                tags = json.loads(orthanc.RestApiGet("/series/" + series))["MainDicomTags"]
                if tags.get("Modality") in REPORTED and tags.get("Manufacturer") != "calcreport":
                    orthanc.RestApiPost("/modalities/calcreport/store", series)
                break
            except Exception as error:  # noqa: BLE001 - orthanc.OrthancException in newer versions of the plugin only
                if "Unknown resource" in str(error) or "inexistent" in str(error).lower():
                    break  # deleted meanwhile
                time.sleep(wait_s)
                wait_s = min(LONGEST_WAIT_S, 2 * wait_s)


threading.Thread(target=send, name="calcreport", daemon=True).start()
orthanc.RegisterOnChangeCallback(on_change)
