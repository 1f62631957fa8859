class _Platform:
    device_type = "cpu"

    @staticmethod
    def processor():
        return "fake"


current_platform = _Platform()
