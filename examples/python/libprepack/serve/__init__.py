"""A server with OpenAI's endpoints for one model: python -m libprepack.serve MODEL_DIR (docs/serving.md).

It needs uvicorn and starlette. From Python:

    from libprepack.serve.settings import Settings
    from libprepack.serve.server import serve
    serve(Settings("model-dir", port=8000))

`app.create_app(engine.Engine(...))` is an ASGI application for other servers; each process makes its own engine,
after fork.
"""
