"""The servers that are measured beside the gateway, each installed from a package registry by the bench itself."""
