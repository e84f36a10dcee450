"""Whether the mail servers of this machine can really do their work, proved with their own tools. Changes nothing."""
