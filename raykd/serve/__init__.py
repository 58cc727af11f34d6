"""An exported model behind HTTP: what a request may hold, the Ray Serve application, the page to try it."""
