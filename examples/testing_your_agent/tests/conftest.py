"""What all tests share."""

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    """Run each coroutine test on both event loops."""
    return request.param
