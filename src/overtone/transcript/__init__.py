"""From what was heard in the segments of a source to what was said in it, by whom and in what mood."""
