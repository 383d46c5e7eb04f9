"""Messages and stubs from a serialized FileDescriptorSet, so that no protoc is needed."""
import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


class Api:
    def __init__(self, path):
        self.pool = descriptor_pool.DescriptorPool()
        self.files = descriptor_pb2.FileDescriptorSet()
        with open(path, "rb") as f:
            self.files.ParseFromString(f.read())
        for file in self.files.file:
            self.pool.Add(file)
        self.factory = message_factory.MessageFactory(self.pool)

    def message(self, name):
        return self.factory.GetPrototype(self.pool.FindMessageTypeByName(name))

    def stub(self, channel, service):
        return Stub(self, channel, service)


class Stub:
    """One callable for each method of a service."""

    def __init__(self, api, channel, service):
        descriptor = api.pool.FindServiceByName(service)
        proto = descriptor_pb2.ServiceDescriptorProto()
        descriptor.CopyToProto(proto)
        for method in proto.method:
            kind = ("stream" if method.client_streaming else "unary") + "_" + ("stream" if method.server_streaming else "unary")
            request = api.message(method.input_type.lstrip("."))
            response = api.message(method.output_type.lstrip("."))
            make = getattr(channel, kind)
            setattr(self, method.name, make(f"/{service}/{method.name}", request.SerializeToString, response.FromString))
