"""The shell as a door to the command tree: `ccw`, what it reads and writes, and how it ends."""
