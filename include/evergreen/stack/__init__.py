"""The embedded stack: real servers that come as wheels, run below one folder and ended without a trace.

`evergreen.stack.control.Stack` is the way in. Nothing here is needed in production, where the same variables that
`evergreen.stack.config.environment` computes come from the deployment.
"""
