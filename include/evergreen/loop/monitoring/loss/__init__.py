"""The champion's loss: realised on labels, estimated without them, tested for harm."""
