using System.Globalization;
using Vmm.Platform.Dma;

namespace Vmm.Control;

/// <summary>Requester ids as text.</summary>
internal static class Requesters
{
    /// <summary>What the text has to be.</summary>
    public const string Form = "bus:device.function in hexadecimal, as 00:03.0";

    /// <summary>Reads <c>00:03.0</c>.</summary>
    public static bool TryParse(string text, out Bdf requester)
    {
        requester = default;
        var parts = text.Split(':', '.');
        if (parts.Length != 3 || !TryHex(parts[0], 255, out var bus) || !TryHex(parts[1], 31, out var device) || !TryHex(parts[2], 7, out var function))
        {
            return false;
        }

        requester = new(bus, device, function);
        return true;
    }

    static bool TryHex(string text, int limit, out int value) =>
        int.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value) && value >= 0 && value <= limit && text.Length <= 2;
}
