"""The DICOM door: associations, C-ECHO and C-STORE."""
