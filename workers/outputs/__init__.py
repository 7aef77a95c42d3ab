"""What a run leaves behind: maps, tables, pictures, each written whole or not at all."""
