using Vmm.Guests.Kit;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests.Faults;

/// <summary>
/// Seeded rules, each in a fork of one booted kernel: every run ends, and the whole campaign repeats to the same hash.
/// VMM_STEPS raises the number of rules: a hundred thousandth of it, at most 1,000.
/// </summary>
public sealed class FaultCampaignTests(FaultGuests guests, ITestOutputHelper log) : IClassFixture<FaultGuests>
{
    const string Work =
        "dd if=/dev/nvme0n1 of=/tmp/r bs=4k count=12 iflag=direct 2>&1; dd if=/dev/zero of=/dev/nvme0n1 bs=16k count=4 seek=64 oflag=direct conv=notrunc 2>&1; echo WORKED";

    [SkippableFact]
    public void A_campaign_of_seeded_rules_ends_and_repeats_to_the_same_hash() => new FaultCampaign(guests.Fork, Work, [FaultGuests.Disk]).Repeat(12, log);
}

/// <summary>The same on virtio-iommu, with an NVMe and a virtio disk.</summary>
public sealed class VirtioCampaignTests(VirtioGuests guests, ITestOutputHelper log) : IClassFixture<VirtioGuests>
{
    const string Work =
        "for d in nvme0n1 vda; do dd if=/dev/$d of=/tmp/r bs=4k count=6 iflag=direct 2>&1; dd if=/dev/zero of=/dev/$d bs=16k count=2 seek=64 oflag=direct conv=notrunc 2>&1; done; echo WORKED";

    [SkippableFact]
    public void A_campaign_of_seeded_rules_ends_and_repeats_to_the_same_hash() => new FaultCampaign(guests.Fork, Work, [VirtioGuests.Nvme, VirtioGuests.Virtio]).Repeat(8, log);
}
