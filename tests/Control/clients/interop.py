"""The interoperability cases of gRPC with grpcio. Arguments: address, descriptor set. Prints one line a case."""
import os
import queue
import sys
import time

import grpc

from descriptors import Api

address, descriptors = sys.argv[1:3]
api = Api(descriptors)
Empty, Simple, Output, Input = (api.message("grpc.testing." + n) for n in
                                ("Empty", "SimpleRequest", "StreamingOutputCallRequest", "StreamingInputCallRequest"))
channel = grpc.insecure_channel(address)
stub = api.stub(channel, "grpc.testing.TestService")
SIZES = [31415, 9, 2653, 58979]
ASKED = [27182, 8, 1828, 45904]


def zeros(n):
    return {"body": bytes(n)}


def failure(code, call, *args, **kwargs):
    try:
        result = call(*args, **kwargs)
        if hasattr(result, "__next__"):
            list(result)
    except grpc.RpcError as error:
        assert error.code() == code, error
        return error
    raise AssertionError("the call succeeded")


def large(**more):
    return Simple(response_size=314159, payload=zeros(271828), **more)


def empty_unary():
    assert stub.EmptyCall(Empty()) == Empty()


def cacheable_unary():
    request = Simple(payload={"body": str(time.time_ns()).encode()})
    metadata = (("x-user-ip", "1.2.3.4"),)
    assert stub.CacheableUnaryCall(request, metadata=metadata) == stub.CacheableUnaryCall(request, metadata=metadata)


def large_unary():
    assert stub.UnaryCall(large()).payload.body == bytes(314159)


def client_compressed_unary():
    failure(grpc.StatusCode.INVALID_ARGUMENT, stub.UnaryCall, large(expect_compressed={"value": True}))
    assert len(stub.UnaryCall(large(expect_compressed={"value": True}), compression=grpc.Compression.Gzip).payload.body) == 314159
    assert len(stub.UnaryCall(large(expect_compressed={"value": False})).payload.body) == 314159


def server_compressed_unary():
    for value in (True, False):
        assert stub.UnaryCall(large(response_compressed={"value": value})).payload.body == bytes(314159)


def client_streaming():
    assert stub.StreamingInputCall(iter([Input(payload=zeros(n)) for n in ASKED])).aggregated_payload_size == 74922


def client_compressed_streaming():
    failure(grpc.StatusCode.INVALID_ARGUMENT, stub.StreamingInputCall, iter([Input(expect_compressed={"value": True}, payload=zeros(27182))]))
    # grpcio leaves a message plain that would not shrink.
    messages = [Input(expect_compressed={"value": True}, payload=zeros(27182)), Input(expect_compressed={"value": False}, payload={"body": os.urandom(45904)})]
    assert stub.StreamingInputCall(iter(messages), compression=grpc.Compression.Gzip).aggregated_payload_size == 73086


def server_streaming():
    request = Output(response_parameters=[{"size": n} for n in SIZES])
    assert [len(m.payload.body) for m in stub.StreamingOutputCall(request)] == SIZES


def server_compressed_streaming():
    request = Output(response_parameters=[{"compressed": {"value": True}, "size": 31415}, {"compressed": {"value": False}, "size": 92653}])
    assert [m.payload.body for m in stub.StreamingOutputCall(request)] == [bytes(31415), bytes(92653)]


class Requests:
    """A stream of requests that is fed while it is read."""

    def __init__(self):
        self.waiting = queue.Queue()

    def __iter__(self):
        return iter(self.waiting.get, None)

    def send(self, message):
        self.waiting.put(message)


def ping_pong():
    requests = Requests()
    call = stub.FullDuplexCall(iter(requests))
    for size, asked in zip(SIZES, ASKED):
        requests.send(Output(response_parameters=[{"size": size}], payload=zeros(asked)))
        assert len(next(call).payload.body) == size
    requests.send(None)
    assert list(call) == []


def empty_stream():
    assert list(stub.FullDuplexCall(iter([]))) == []


def custom_metadata():
    metadata = (("x-grpc-test-echo-initial", "test_initial_metadata_value"), ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab"))

    def check(call):
        assert dict(call.initial_metadata())["x-grpc-test-echo-initial"] == "test_initial_metadata_value"
        assert dict(call.trailing_metadata())["x-grpc-test-echo-trailing-bin"] == b"\xab\xab\xab"

    _, call = stub.UnaryCall.with_call(large(), metadata=metadata)
    check(call)
    call = stub.FullDuplexCall(iter([Output(response_parameters=[{"size": 314159}], payload=zeros(271828))]), metadata=metadata)
    assert len(list(call)) == 1
    check(call)


def status_code_and_message():
    status = {"code": 2, "message": "test status message"}
    for call, request in ((stub.UnaryCall, Simple(response_status=status)), (stub.FullDuplexCall, iter([Output(response_status=status)]))):
        assert failure(grpc.StatusCode.UNKNOWN, call, request).details() == "test status message"


def special_status_message():
    message = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"
    error = failure(grpc.StatusCode.UNKNOWN, stub.UnaryCall, Simple(response_status={"code": 2, "message": message}))
    assert error.details() == message


def unimplemented_method():
    failure(grpc.StatusCode.UNIMPLEMENTED, stub.UnimplementedCall, Empty())


def unimplemented_service():
    failure(grpc.StatusCode.UNIMPLEMENTED, api.stub(channel, "grpc.testing.UnimplementedService").UnimplementedCall, Empty())


def cancel_after_begin():
    requests = Requests()
    call = stub.StreamingInputCall.future(iter(requests))
    call.cancel()
    assert call.cancelled() and call.code() == grpc.StatusCode.CANCELLED
    requests.send(None)


def cancel_after_first_response():
    requests = Requests()
    call = stub.FullDuplexCall(iter(requests))
    requests.send(Output(response_parameters=[{"size": 31415}], payload=zeros(27182)))
    assert len(next(call).payload.body) == 31415
    call.cancel()
    failure(grpc.StatusCode.CANCELLED, lambda: next(call))
    requests.send(None)


def timeout_on_sleeping_server():
    requests = Requests()
    requests.send(Output(payload=zeros(27182), response_parameters=[{"size": 31415, "interval_us": 5000000}]))
    failure(grpc.StatusCode.DEADLINE_EXCEEDED, stub.FullDuplexCall, iter(requests), timeout=0.001)
    requests.send(None)


def concurrent_large_unary():
    calls = [stub.UnaryCall.future(large()) for _ in range(100)]
    assert all(len(c.result().payload.body) == 314159 for c in calls)


for case in (empty_unary, cacheable_unary, large_unary, client_compressed_unary, server_compressed_unary, client_streaming,
             client_compressed_streaming, server_streaming, server_compressed_streaming, ping_pong, empty_stream, custom_metadata,
             status_code_and_message, special_status_message, unimplemented_method, unimplemented_service, cancel_after_begin,
             cancel_after_first_response, timeout_on_sleeping_server, concurrent_large_unary):
    try:
        case()
        print("ok", case.__name__, flush=True)
    except Exception as error:  # every case is reported
        print(f"not ok {case.__name__}: {type(error).__name__} {str(error).splitlines()[0] if str(error) else ''}", flush=True)
os._exit(0)
