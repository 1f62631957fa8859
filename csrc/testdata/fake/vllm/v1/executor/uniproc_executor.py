def get_distributed_init_method(ip, port):
    return f"tcp://{ip}:{port}"
