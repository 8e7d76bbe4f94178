"""Time that moves when told to, for what is called later."""


class _Timer:
    def __init__(self, at_s, call):
        self.at_s = at_s
        self.call = call

    def cancel(self):
        self.call = None


class Later:
    """Calls functions when their time has come."""

    def __init__(self):
        self.now_s = 0.0
        self._timers = []

    def __call__(self, delay_s, call):
        self._timers.append(_Timer(self.now_s + delay_s, call))
        return self._timers[-1]

    @property
    def waiting(self):
        """How many are to be called."""
        return sum(timer.call is not None for timer in self._timers)

    def advance(self, delay_s):
        """Let time go by; what is due is called in order."""
        until_s = self.now_s + delay_s
        while due := [timer for timer in self._timers if timer.at_s <= until_s]:
            first = min(due, key=lambda timer: timer.at_s)
            self._timers.remove(first)
            self.now_s = first.at_s
            if first.call is not None:
                first.call()
        self.now_s = until_s
