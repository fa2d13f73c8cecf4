"""The spine: a source in, its result out."""
