"""Running a loaded model on prepared input, and deciding whether the input fits it."""
