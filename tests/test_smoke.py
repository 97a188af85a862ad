import asyncio
import pytest
import waitkit

async def call(x, d):
    await asyncio.sleep(d)
    return x

async def test_a():
    assert await waitkit.first_error([call(1, 3600)]) == [1]

@pytest.mark.real_time
async def test_b():
    assert await waitkit.first_error([call(1, .01)]) == [1]
