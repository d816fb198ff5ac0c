"""The values that cross medqueue's borders: plain, validated, without I/O."""
