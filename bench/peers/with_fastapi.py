"""POST /data by FastAPI, behind uvicorn."""

from fastapi import Body, FastAPI
from pydantic import BaseModel
from store import store


class Reading(BaseModel):
    sensor_id: str
    value: float


app = FastAPI()


# Not `async`: it waits for a disk, and goes to a thread therefore.
@app.post("/data", status_code=201)
def take(body: Reading | list[Reading] = Body()):
    readings = body if isinstance(body, list) else [body]
    return {"status": "success", "stored": store([one.model_dump() for one in readings])}
