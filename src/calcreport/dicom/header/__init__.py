"""Headers of DICOM files, in every encoding; pixels stay in the file."""
