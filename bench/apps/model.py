"""A FastAPI route with a path parameter, a query parameter and a pydantic model."""

from typing import List, Optional

from fastapi import FastAPI
from pydantic import BaseModel


class Item(BaseModel):
    name: str
    price: float
    tags: List[str] = []
    description: Optional[str] = None


app = FastAPI()


@app.post('/items/{item_id}')
async def update_item(item_id: int, item: Item, notify: bool = False):
    return {'id': item_id, 'notify': notify, 'item': item, 'total': item.price * 1.2}
