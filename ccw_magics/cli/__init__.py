"""The command tree: `ccw VERB` in a shell, `%ccw VERB` in a notebook; one tree, two doors."""
