"""The OpenAPI document: made of the routes that are served and the models that they read with."""
