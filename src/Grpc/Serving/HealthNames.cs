namespace Vmm.Grpc.Serving;

internal static class HealthNames
{
    public const string Service = "grpc.health.v1.Health";
}
