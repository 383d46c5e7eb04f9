using Google.Protobuf.Reflection;
using Grpc.Health.V1;
using Vmm.ControlTests.Kit;
using Vmm.Grpc.Client;
using Xunit;

namespace Vmm.ControlTests.Hosting;

/// <summary>The program <c>vmm serve</c> and the signals that end it.</summary>
public sealed class ServeTests
{
    static readonly MethodDescriptor Check = HealthReflection.Descriptor.FindTypeByName<ServiceDescriptor>("Health").FindMethodByName("Check");

    [Fact]
    public async Task SIGTERM_ends_it_with_success_and_its_socket_goes()
    {
        using var folder = new TemporaryFolder();
        var server = ServeProcess.Start(folder.At("s"));
        await CallAsync(folder.At("s"));
        Assert.Equal(0, server.End("TERM"));
        Assert.False(File.Exists(folder.At("s")));
    }

    [Fact]
    public async Task What_SIGKILL_leaves_does_not_keep_the_next_one_from_starting()
    {
        using var folder = new TemporaryFolder();
        ServeProcess.Start(folder.At("s")).End("KILL");
        Assert.True(File.Exists(folder.At("s")));
        var next = ServeProcess.Start(folder.At("s"));
        await CallAsync(folder.At("s"));
        Assert.Equal(0, next.End("INT"));
    }

    static async Task CallAsync(string path)
    {
        using var channel = new GrpcChannel("unix:" + path);
        var answer = await channel.UnaryAsync<HealthCheckRequest, HealthCheckResponse>(Check, new HealthCheckRequest(), new CallOptions { Timeout = TimeSpan.FromSeconds(20) });
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, answer.Status);
    }
}
