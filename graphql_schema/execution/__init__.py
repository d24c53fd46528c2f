"""From the text of a request to its answer: documents prepared once, variables judged, operations run."""
