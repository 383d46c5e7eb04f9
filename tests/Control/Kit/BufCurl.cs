using System.Text.Json.Nodes;
using Xunit;

namespace Vmm.ControlTests.Kit;

/// <summary>Calls of <c>buf curl</c>, which learns the API by reflection.</summary>
internal sealed class BufCurl(string socket)
{
    /// <summary>A unary call of a service of vmm.v1 that must succeed.</summary>
    public JsonNode Call(string method, string request)
    {
        var (code, output, error) = ClientPrograms.Buf(
            "curl", "--protocol", "grpc", "--http2-prior-knowledge", "--unix-socket", socket, "-d", request, "http://localhost/vmm.v1." + method);
        Assert.True(code == 0, $"{method}: {error}");
        return JsonNode.Parse(output)!;
    }
}
