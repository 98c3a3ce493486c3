"""The panel of labels: a slide's patches in the words of a label set."""
