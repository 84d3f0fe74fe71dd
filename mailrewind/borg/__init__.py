"""Drive borg: write through its executable, read what it keeps."""
