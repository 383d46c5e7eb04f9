namespace Vmm.Control;

/// <summary>Collects everything that is wrong with a request, so that one answer names it all.</summary>
internal sealed class Violations
{
    /// <summary>Violations that are named, at most.</summary>
    const int Limit = 64;

    readonly List<(string Field, string Why)> found = [];

    /// <summary>Nothing is wrong so far.</summary>
    public bool IsEmpty => found.Count == 0;

    /// <summary>Notes a field, by its dotted path, and what is wrong with it.</summary>
    public void Add(string field, string why)
    {
        if (found.Count < Limit)
        {
            found.Add((field, why));
        }
    }

    /// <summary>Notes a field unless the condition holds.</summary>
    public void Require(bool holds, string field, string why)
    {
        if (!holds)
        {
            Add(field, why);
        }
    }

    /// <summary>Ends the call when anything was noted.</summary>
    /// <exception cref="Grpc.RpcException">INVALID_ARGUMENT with all violations.</exception>
    public void Throw()
    {
        if (!IsEmpty)
        {
            throw Errors.Invalid(found);
        }
    }

    /// <summary>Notes a bad name.</summary>
    public void Name(string name, string field) => Require(
        name.Length is >= 1 and <= 63 && char.IsAsciiLetterLower(name[0]) && name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-'),
        field, "1 to 63 of a-z, 0-9 and '-', starting with a letter");

    /// <summary>Notes text that is not clean: a replacement character stands where bytes were no UTF-8.</summary>
    public void Text(string text, string field, int limit)
    {
        Require(text.Length <= limit, field, $"more than {limit} characters");
        Require(!text.Contains('\uFFFD') && !text.Contains('\0'), field, "not UTF-8 text");
    }
}
