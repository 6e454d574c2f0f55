"""PURE. Task type, tiers and health in; tier, model and reason out."""
