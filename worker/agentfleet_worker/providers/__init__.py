"""Below the SDKs: the one transport that every paid call passes."""
