"""How the bytes of slides come in: files, offsets, checksums, room, and what may be registered by reference."""
