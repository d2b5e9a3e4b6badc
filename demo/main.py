"""A FastAPI application as one would write it for uvicorn: nothing in it knows of Node."""

import asyncio
import hashlib
import sys
from typing import List, Optional

from fastapi import FastAPI, Query, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

app = FastAPI(title="python-node demo")


class Line(BaseModel):
    name: str
    price: float = Field(gt=0)
    quantity: int = Field(default=1, ge=1)


class Order(BaseModel):
    customer: str = Field(min_length=1)
    lines: List[Line] = Field(min_length=1)


class Receipt(BaseModel):
    customer: str
    articles: int
    total: float


@app.get("/")
async def index():
    return {"python": sys.version.split()[0], "prefix": sys.prefix, "documentation": "/docs"}


@app.get("/items/{item_id}")
async def read_item(item_id: int, q: Optional[str] = None, tags: List[str] = Query(default=[])):
    """`item_id` is an integer: `/items/abc` is answered with 422."""
    return {"item_id": item_id, "q": q, "tags": tags}


@app.post("/orders", response_model=Receipt, status_code=201)
async def create_order(order: Order):
    """A body that does not fit the model is answered with 422."""
    return Receipt(
        customer=order.customer,
        articles=sum(line.quantity for line in order.lines),
        total=round(sum(line.price * line.quantity for line in order.lines), 2),
    )


@app.get("/stream")
async def stream(count: int = Query(default=5, ge=1, le=1000), delay: float = Query(default=0.3, ge=0, le=10)):
    """One line at a time: the client sees each when it is made."""

    async def lines():
        for number in range(1, count + 1):
            yield f"line {number} of {count}\n"
            await asyncio.sleep(delay)

    return StreamingResponse(lines(), media_type="text/plain")


@app.post("/upload")
async def upload(file: UploadFile):
    size = 0
    digest = hashlib.sha256()
    while True:
        chunk = await file.read(64 * 1024)
        if not chunk:
            break
        size += len(chunk)
        digest.update(chunk)
    return {"filename": file.filename, "size": size, "sha256": digest.hexdigest()}
