"""The four clients of PyPI's tritonclient behind one face, so that a check runs over all of them."""

import asyncio
import threading

import grpc
import numpy
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

MODULES = {
    "http": tritonclient.http,
    "grpc": tritonclient.grpc,
    "http.aio": tritonclient.http.aio,
    "grpc.aio": tritonclient.grpc.aio,
}
LARGEST_MESSAGE = 2**31 - 1


class Refused(Exception):
    """The server's error: `status` is "400" or "INVALID_ARGUMENT", `message` what it said."""

    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class Client:
    """One of the four clients; calls of the asynchronous ones run in an event loop of their own and are waited for."""

    def __init__(self, name, address):
        self.name = name
        self.is_grpc = name.startswith("grpc")
        self.is_async = name.endswith("aio")
        self.module = MODULES[name]
        self.address = address.grpc if self.is_grpc else address.http
        self.loop = None
        if self.is_async:
            self.loop = asyncio.new_event_loop()
            self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
            self.thread.start()
            self.client = asyncio.run_coroutine_threadsafe(self.construct(), self.loop).result()
        elif self.is_grpc:
            self.client = self.module.InferenceServerClient(self.address)
        else:
            # 32 connections for what is sent at once.
            self.client = self.module.InferenceServerClient(self.address, concurrency=32, network_timeout=120)

    async def construct(self):
        """The asynchronous clients want to be made inside their loop."""
        return self.module.InferenceServerClient(self.address)

    def wait_for(self, coroutine):
        """Runs a coroutine in the loop of this client."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(120)

    def call(self, method, *arguments, **options):
        """A method of the client by name; errors come as `Refused`."""
        try:
            result = getattr(self.client, method)(*arguments, **options)
            return self.wait_for(result) if self.is_async else result
        except InferenceServerException as error:
            status = str(error.status() or "none").removeprefix("StatusCode.")
            raise Refused(status, error.message()) from None

    def dictionary(self, method, *arguments):
        """A method whose answer is a dictionary over HTTP, and JSON of a message over gRPC."""
        return self.call(method, *arguments, **({"as_json": True} if self.is_grpc else {}))

    def input(self, name, values, binary=True):
        """An input tensor from an array (of `bytes` for BYTES)."""
        made = self.module.InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
        if self.is_grpc:
            made.set_data_from_numpy(values)
        else:
            made.set_data_from_numpy(values, binary_data=binary)
        return made

    def output(self, name, binary=True):
        """A wanted output."""
        if self.is_grpc:
            return self.module.InferRequestedOutput(name)
        return self.module.InferRequestedOutput(name, binary_data=binary)

    def infer(self, model, feeds, binary=True, outputs=None, **options):
        """Asks a model; `feeds` maps names to arrays, `outputs` (names) may be left out."""
        inputs = [self.input(name, values, binary) for name, values in feeds.items()]
        wanted = None if outputs is None else [self.output(name, binary) for name in outputs]
        return self.call("infer", model, inputs, outputs=wanted, **options)

    def infer_many(self, model, feeds_of_each):
        """Asks for all at once, without waiting between them; results in the order of the questions."""
        asked = [[self.input(name, values) for name, values in feeds.items()] for feeds in feeds_of_each]
        if self.is_async:

            async def together():
                return await asyncio.gather(*(self.client.infer(model, inputs) for inputs in asked))

            return self.wait_for(together())
        if not self.is_grpc:
            pending = [self.client.async_infer(model, inputs) for inputs in asked]
            return [one.get_result() for one in pending]
        results = [None] * len(asked)
        arrived = threading.Semaphore(0)

        def keep(at):
            def callback(result, error):
                results[at] = error or result
                arrived.release()

            return callback

        for at, inputs in enumerate(asked):
            self.client.async_infer(model, inputs, keep(at))
        for _ in asked:
            if not arrived.acquire(timeout=120):
                raise TimeoutError("an answer did not come within 120 s")
        return results

    def stream_many(self, model, feeds_of_each):
        """As `infer_many` over one gRPC stream; results by the id (place) of the question."""
        asked = [[self.input(name, values) for name, values in feeds.items()] for feeds in feeds_of_each]
        found = {}
        if self.is_async:

            async def questions():
                for at, inputs in enumerate(asked):
                    yield {"model_name": model, "inputs": inputs, "request_id": str(at)}

            async def together():
                async for result, error in self.client.stream_infer(questions()):
                    if error is not None:
                        raise error
                    found[int(result.get_response().id)] = result

            self.wait_for(together())
            return found
        arrived = threading.Semaphore(0)
        errors = []

        def callback(result, error):
            if error is None:
                found[int(result.get_response().id)] = result
            else:
                errors.append(error)
            arrived.release()

        self.client.start_stream(callback)
        for at, inputs in enumerate(asked):
            self.client.async_stream_infer(model, inputs, request_id=str(at))
        for _ in asked:
            if not arrived.acquire(timeout=120):
                raise TimeoutError("an answer did not come within 120 s")
        self.client.stop_stream()
        if errors:
            raise errors[0]
        return found

    def close(self):
        """Ends the client's connections, and its loop."""
        if self.is_async:
            self.wait_for(self.client.close())
            self.loop.call_soon_threadsafe(self.loop.stop)
        else:
            self.client.close()


class Stub:
    """The gRPC service without tritonclient between: for requests that it cannot make."""

    def __init__(self, address):
        options = [
            ("grpc.max_receive_message_length", LARGEST_MESSAGE),
            ("grpc.max_send_message_length", LARGEST_MESSAGE),
        ]
        self.channel = grpc.insecure_channel(address.grpc, options=options)
        self.service = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)

    def infer(self, request):
        """`ModelInfer`; errors come as `Refused`."""
        try:
            return self.service.ModelInfer(request, timeout=60)
        except grpc.RpcError as error:
            raise Refused(error.code().name, error.details()) from None

    def close(self):
        """Ends the channel."""
        self.channel.close()


def infer_request(model, tensors, **fields):
    """A `ModelInferRequest`; `tensors` is a list of `wire.Tensor`, sent raw."""
    request = service_pb2.ModelInferRequest(model_name=model, **fields)
    for tensor in tensors:
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        request.raw_input_contents.append(tensor.data)
    return request


def raw_array(response, at=0):
    """The output number `at` of a `ModelInferResponse` as f32."""
    output = response.outputs[at]
    return numpy.frombuffer(response.raw_output_contents[at], "<f4").reshape(output.shape)
