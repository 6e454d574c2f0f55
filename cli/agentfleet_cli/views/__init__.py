"""PURE. What people see of a fleet: lines of text from the API's JSON. No clock, terminal or client here."""
