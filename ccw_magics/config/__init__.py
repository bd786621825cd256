"""What the user set: the config file, its models, keys and trust.

Nothing is imported here: `ccw_magics.config.credentials` is needed early and must not bring pydantic along.
"""
