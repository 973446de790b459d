"""HTTP: sockets and limits (server), messages, routes, and who may ask (guard). Knows nothing of MLflow."""
