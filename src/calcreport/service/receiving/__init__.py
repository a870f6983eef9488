"""The DICOM storage service class provider: associations, limits, and files streamed to disk."""
