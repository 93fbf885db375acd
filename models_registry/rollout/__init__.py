"""How a channel is moved in steps, and what is concluded from the answers of both versions meanwhile. Pure: no Django, no database."""
