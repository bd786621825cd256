"""Tab after `ccw` and in `%ccw`: verbs, options, ids, names and `@paths`; imported with the first Tab there."""
