"""The steps of the flow: each a named, configurable filter that says why each pair went."""
