-- For an Orthanc that pushes: every stable series of CT or radiographs goes to the receiving service by C-STORE.
-- The feed of changes (service.sources, kind = "orthanc") needs nothing in Orthanc and survives its restarts; prefer it.
--
-- orthanc.json:  "LuaScripts" : [ "/etc/orthanc/calcreport.lua" ],
--                "DicomModalities" : { "calcreport" : [ "CALCREPORT", "127.0.0.1", 11112 ] }

local reported = { CT = true, CR = true, DX = true }

function OnStableSeries(seriesId, tags, metadata)
   -- our own results are SR, SEG and OT; the maker is looked at as well, not a description that anybody may change
   if reported[tags['Modality']] and tags['Manufacturer'] ~= 'calcreport' then
      -- a job of Orthanc's: scripts must not wait. One that failed can be sent again: POST /jobs/{id}/resubmit
      RestApiPost('/modalities/calcreport/store', DumpJson({ Resources = { seriesId }, Synchronous = false }))
   end
end
