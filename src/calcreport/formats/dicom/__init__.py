"""DICOM objects a PACS can store and show: structured report, segmentation, key images, document.

They are made from a report, its images and the masks behind it; nothing is measured or decided here. One module a kind
of object; `calcreport.formats.dicom.objects.write_objects` writes those that were asked for. All raise `NotDicomError`
``file.damaged`` when the header of an image cannot be read again.
"""
