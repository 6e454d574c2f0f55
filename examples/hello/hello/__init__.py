"""Your own code: whatever the manifests name as `module:function`."""
