"""POST /data by Flask, behind gunicorn."""

from flask import Flask, jsonify, request
from store import store

app = Flask(__name__)


@app.post("/data")
def take():
    return jsonify(status="success", stored=store(request.get_json())), 201
