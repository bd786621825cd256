"""The notebook's door: magics, and how a reply is shown."""
