namespace Vmm.Control.Hosting;

/// <summary>
/// Which files a client may name: those inside the allowed roots, after all links are followed. Relative paths start at
/// the first root. A refusal tells nothing of the host's files.
/// </summary>
internal sealed class PathPolicy
{
    readonly string[] roots;

    /// <param name="roots">Allowed folders; none allows nothing.</param>
    /// <exception cref="ArgumentException">A root is not a folder.</exception>
    public PathPolicy(IEnumerable<string> roots) => this.roots = [.. roots.Select(r =>
        Directory.Exists(r) ? Real(Path.GetFullPath(r))! : throw new ArgumentException($"{r} is not a folder"))];

    /// <summary>The file that a path means.</summary>
    /// <exception cref="Grpc.RpcException">PERMISSION_DENIED: it is not inside a root.</exception>
    public string Resolve(string path, string field)
    {
        if (roots.Length == 0 || path.Length is 0 or > 4096 || path.Contains('\0') || path.Contains('\uFFFD'))
        {
            throw Errors.PathDenied(field);
        }

        var full = Path.GetFullPath(path, roots[0]);
        return Real(full) is { } real && roots.Any(root => IsInside(root, real)) ? real : throw Errors.PathDenied(field);
    }

    static bool IsInside(string root, string path) =>
        path.StartsWith(root.EndsWith('/') ? root : root + "/", StringComparison.Ordinal);

    /// <summary>The path with every link followed, the last part too; what does not exist stays as it is. Null: too many links.</summary>
    static string? Real(string full)
    {
        var done = "/";
        var links = 0;
        var left = new Stack<string>(full.Split('/', StringSplitOptions.RemoveEmptyEntries).Reverse());
        while (left.TryPop(out var part))
        {
            if (part is ".")
            {
                continue;
            }

            if (part is "..")
            {
                done = Path.GetDirectoryName(done) ?? "/";
                continue;
            }

            var next = Path.Combine(done, part);
            if (new FileInfo(next).LinkTarget is not { } target)
            {
                done = next;
                continue;
            }

            if (++links > 40)
            {
                return null;
            }

            if (Path.IsPathRooted(target))
            {
                done = "/";
            }

            foreach (var piece in target.Split('/', StringSplitOptions.RemoveEmptyEntries).Reverse())
            {
                left.Push(piece);
            }
        }

        return done;
    }
}
