using Vmm.GuestDma;
using Xunit;

namespace Vmm.Unit.GuestDma;

/// <summary>What the tests of the layer run over.</summary>
static class LayerCases
{
    /// <summary>Every policy that translates, on both units.</summary>
    public static TheoryData<DmaPolicy, string> Translating
    {
        get
        {
            var data = new TheoryData<DmaPolicy, string>();
            for (var policy = DmaPolicy.Strict; policy <= DmaPolicy.Adaptive; policy++)
            {
                data.Add(policy, "vtd");
                data.Add(policy, "viommu");
            }

            return data;
        }
    }
}
